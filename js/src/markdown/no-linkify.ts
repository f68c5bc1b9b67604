// Stands in the bundle for linkify-it, which markdown-it makes an instance of even where the option
// `linkify` is off, as it always is here.  Bare addresses in an answer stay text.

export class LinkifyIt {}

export default LinkifyIt;
