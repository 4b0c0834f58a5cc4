// The editor itself: keys, colours, completion of tables and columns, and a mark where the server found an error.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export interface SqlEditorOptions {
  readonly root: ShadowRoot;
  readonly text: string;
  readonly label: string;
  readonly schema: Readonly<Record<string, readonly string[]>>;
  readonly dark: boolean;
  readonly onchange: (value: string) => void;
}

export interface PlacedError {
  readonly message: string;
  readonly line: number | null;
  readonly column: number | null;
}

export function makeSqlEditor(options: SqlEditorOptions): { view: EditorView; mark: (error: PlacedError | null) => void } {
  const { root, text, label, schema, dark, onchange } = options;
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ activateOnTyping: true }),
        sql({ dialect: PostgreSQL, schema: Object.fromEntries(Object.entries(schema).map(([table, columns]) => [table, [...columns]])), upperCaseKeywords: true }),
        syntaxHighlighting(dark ? DARK : LIGHT),
        lintGutter(),
        placeholder("SELECT ... FROM logs WHERE timestamp >= $from AND timestamp < $to"),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, indentWithTab]),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onchange(update.state.doc.toString());
        }),
        LOOK,
        EditorView.darkTheme.of(dark),
      ],
    }),
  });
  return { view, mark: (error) => view.dispatch(setDiagnostics(view.state, error === null ? [] : [diagnostic(view.state, error)])) };
}

/** The word at the place that the server names, or the whole text. */
function diagnostic(state: EditorState, error: PlacedError): Diagnostic {
  const found = { severity: "error" as const, message: error.message };
  if (error.line === null || error.line < 1 || error.line > state.doc.lines) return { ...found, from: 0, to: state.doc.length };
  const line = state.doc.line(error.line);
  const from = Math.min(line.to, line.from + Math.max(0, (error.column ?? 1) - 1));
  const word = /^\w+/.exec(line.text.slice(from - line.from))?.[0].length ?? 1;
  return { ...found, from, to: Math.min(line.to, from + word) };
}

const LOOK = EditorView.theme({
  "&": { fontSize: "13px", backgroundColor: "transparent", color: "var(--text)" },
  "&.cm-focused": { outline: "2px solid var(--accent)" },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "transparent", border: "0" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--border)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent-weak)", color: "var(--text)" },
  ".cm-selectionBackground": { backgroundColor: "var(--accent-weak) !important" },
  ".cm-placeholder": { color: "var(--muted)" },
});

const LIGHT = HighlightStyle.define([
  { tag: tags.keyword, color: "#0b5cad" },
  { tag: [tags.string, tags.special(tags.string)], color: "#1a6e3c" },
  { tag: tags.number, color: "#9a5b00" },
  { tag: tags.comment, color: "#55606f", fontStyle: "italic" },
]);

const DARK = HighlightStyle.define([
  { tag: tags.keyword, color: "#79b8ff" },
  { tag: [tags.string, tags.special(tags.string)], color: "#63c98a" },
  { tag: tags.number, color: "#f0b64d" },
  { tag: tags.comment, color: "#9da8b6", fontStyle: "italic" },
]);
