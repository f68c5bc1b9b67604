// Replaces linkify-it in the bundle, which markdown-it instantiates even with the option `linkify`
// off, as it always is here. Bare addresses in an answer stay text.

export class LinkifyIt {}

export default LinkifyIt;
