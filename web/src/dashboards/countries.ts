// Country codes (ISO 3166, two letters) to the names that the shapes of the world map have. The browser knows the names itself.

/** Where the map writes a name otherwise than browsers do. */
const OTHERWISE: Readonly<Record<string, string>> = {
  BA: "Bosnia and Herz.",
  CD: "Dem. Rep. Congo",
  CF: "Central African Rep.",
  CG: "Congo",
  CI: "Côte d'Ivoire",
  DO: "Dominican Rep.",
  EH: "W. Sahara",
  FK: "Falkland Is.",
  GB: "United Kingdom",
  GQ: "Eq. Guinea",
  MK: "Macedonia",
  MM: "Myanmar",
  PS: "Palestine",
  SB: "Solomon Is.",
  SS: "S. Sudan",
  SZ: "eSwatini",
  TF: "Fr. S. Antarctic Lands",
  TL: "Timor-Leste",
  TR: "Turkey",
  TT: "Trinidad and Tobago",
  UK: "United Kingdom",
  US: "United States of America",
};

const names = new Intl.DisplayNames(["en"], { type: "region", fallback: "code" });

/** The map's name of a code, or of a country that is named already. */
export function mapName(value: string): string {
  const code = value.trim().toUpperCase();
  if (!/^[A-Z]{2}$/.test(code)) return value.trim();
  return OTHERWISE[code] ?? names.of(code) ?? code;
}
