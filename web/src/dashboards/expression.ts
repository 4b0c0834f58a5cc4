// A panel's field: a column of the view, or plain arithmetic over columns, perhaps with a name: `error_rate = 100 * server_errors / requests`.

export interface Field {
  readonly text: string;
  readonly name: string;
  /** Those that it is made of, each once. */
  readonly columns: readonly string[];
  /** Null where a number is missing, or a division by zero leaves none. */
  readonly value: (read: (column: string) => number | null) => number | null;
}

export class FieldError extends Error {}

type Read = (column: string) => number | null;
type Node = (read: Read) => number | null;

const TOKEN = /\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_]\w*)|([-+*/()=]))/y;

export function parseField(text: string): Field {
  let tokens = tokensOf(text);
  let name: string | null = null;
  if (tokens[1] === "=" && isName(tokens[0])) {
    name = tokens[0] as string;
    tokens = tokens.slice(2);
  }
  const reader = new Reader(tokens, text);
  const value = reader.sum();
  if (!reader.atEnd) throw new FieldError(`"${reader.next}" does not belong there in "${text}"`);
  return { text, name: name ?? text.trim(), columns: [...reader.columns], value };
}

export function parseFields(texts: readonly string[]): Field[] {
  return texts.map(parseField);
}

function isName(token: string | undefined): boolean {
  return token !== undefined && /^[A-Za-z_]/.test(token);
}

function tokensOf(text: string): string[] {
  const found: string[] = [];
  TOKEN.lastIndex = 0;
  let at = 0;
  while (text.slice(at).trim() !== "") {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) throw new FieldError(`"${text.slice(at).trim()[0]}" is no part of a field: "${text}"`);
    found.push(match[0].trim());
    at = TOKEN.lastIndex;
  }
  return found;
}

class Reader {
  readonly columns = new Set<string>();
  readonly #tokens: readonly string[];
  readonly #text: string;
  #at = 0;

  constructor(tokens: readonly string[], text: string) {
    this.#tokens = tokens;
    this.#text = text;
  }

  get next(): string | undefined {
    return this.#tokens[this.#at];
  }

  get atEnd(): boolean {
    return this.#at >= this.#tokens.length;
  }

  sum(): Node {
    let left = this.#product();
    while (this.next === "+" || this.next === "-") left = binary(this.#tokens[this.#at++] as "+" | "-", left, this.#product());
    return left;
  }

  #product(): Node {
    let left = this.#factor();
    while (this.next === "*" || this.next === "/") left = binary(this.#tokens[this.#at++] as "*" | "/", left, this.#factor());
    return left;
  }

  #factor(): Node {
    const token = this.#tokens[this.#at++];
    if (token === "-") {
      const of = this.#factor();
      return binary("-", () => 0, of);
    }
    if (token === "(") {
      const inner = this.sum();
      if (this.#tokens[this.#at++] !== ")") throw new FieldError(`a closing bracket is missing in "${this.#text}"`);
      return inner;
    }
    if (isName(token)) {
      this.columns.add(token as string);
      return (read) => read(token as string);
    }
    if (token !== undefined && /^\d/.test(token)) {
      const number = Number(token);
      return () => number;
    }
    throw new FieldError(`a column or a number is missing in "${this.#text}"`);
  }
}

function binary(sign: "+" | "-" | "*" | "/", left: Node, right: Node): Node {
  return (read) => {
    const a = left(read);
    const b = right(read);
    if (a === null || b === null) return null;
    if (sign === "+") return a + b;
    if (sign === "-") return a - b;
    if (sign === "*") return a * b;
    return b === 0 ? null : a / b;
  };
}
