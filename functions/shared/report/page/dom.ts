export type Child = Node | string | null | undefined | false | readonly Child[];
type Attributes = { readonly [name: string]: string | number | boolean | undefined | ((event: Event) => void) };

function append(parent: Node, child: Child): void {
  if (child === null || child === undefined || child === false) return;
  if (typeof child === "string") parent.appendChild(document.createTextNode(child));
  else if (child instanceof Node) parent.appendChild(child);
  else for (const one of child) append(parent, one);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  append(element, children);
  return element;
}

/** An element with its attributes (functions are listeners) and children. Texts are texts: nothing is read as markup. */
export const h = <K extends keyof HTMLElementTagNameMap>(name: K, attributes: Attributes = {}, ...children: Child[]) =>
  fill(document.createElement(name), attributes, children);

/** The same for SVG. */
export const svg = <K extends keyof SVGElementTagNameMap>(name: K, attributes: Attributes = {}, ...children: Child[]) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

/** Replaces the children of an element. */
export function show(parent: Element, ...children: Child[]): void {
  const fragment = document.createDocumentFragment();
  append(fragment, children);
  parent.replaceChildren(fragment);
}

/** A text for screen readers only. */
export const unseen = (text: string) => h("span", { class: "unseen" }, text);
