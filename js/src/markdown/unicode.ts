// Replaces the package `uc.micro` in the bundle by the browser's own Unicode properties.

export const P = /\p{P}/u;
export const S = /\p{S}/u;
