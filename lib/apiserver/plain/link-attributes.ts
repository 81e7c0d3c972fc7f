/** Attributes that hold one link, by the elements that have them (apimachinery, `atomsToAttrs`). */
const LINK_ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  a: ['href'],
  applet: ['codebase'],
  area: ['href'],
  audio: ['src'],
  base: ['href'],
  blockquote: ['cite'],
  body: ['background'],
  button: ['formaction'],
  command: ['icon'],
  del: ['cite'],
  embed: ['src'],
  form: ['action'],
  frame: ['longdesc', 'src'],
  head: ['profile'],
  html: ['manifest'],
  iframe: ['longdesc', 'src'],
  img: ['longdesc', 'src', 'usemap'],
  input: ['formaction', 'src', 'usemap'],
  ins: ['cite'],
  link: ['href'],
  object: ['classid', 'codebase', 'data', 'usemap'],
  q: ['cite'],
  script: ['src'],
  source: ['src'],
  video: ['poster', 'src'],
};

const byElement = new Map(
  Object.entries(LINK_ATTRIBUTES).map(([element, names]) => [element, new Set(names)]),
);

/** Whether an attribute holds a link; both names in lower case. */
export const isLinkAttribute = (element: string, attribute: string): boolean =>
  byElement.get(element)?.has(attribute) === true;
