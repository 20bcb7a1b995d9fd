/** The element with that id, which the page has. */
export function byId<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new Error(`the page has no ${kind.name} #${id}`);
}

/** A new element with text, never markup: names and texts come from files and models. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  text = '',
  className = '',
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className !== '') element.className = className;
  return element;
}

/** A table row of cells with text. */
export function row(...cells: (string | HTMLElement)[]): HTMLTableRowElement {
  const tr = make('tr');
  for (const cell of cells) tr.append(typeof cell === 'string' ? make('td', cell) : cell);
  return tr;
}

/** `1.5 MB` and the like. */
export function bytesInWords(sizeInBytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB'];
  let value = sizeInBytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}
