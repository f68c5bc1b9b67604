// Stands in the bundle for the package `uc.micro`: the browser knows which characters are
// punctuation and symbols.

export const P = /\p{P}/u;
export const S = /\p{S}/u;
