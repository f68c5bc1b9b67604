// Replaces linkify-it in the bundle: markdown-it creates an instance of it even with the option
// `linkify` off. Bare addresses in an answer stay text.

export class LinkifyIt {}

export default LinkifyIt;
