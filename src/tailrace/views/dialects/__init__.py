"""Plan -> an engine's text: one package per engine. A dialect prints what is planned and decides nothing about numbers."""
