// Replaces the package `uc.micro` in the bundle: the browser knows punctuation and symbols.

export const P = /\p{P}/u;
export const S = /\p{S}/u;
