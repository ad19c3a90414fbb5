/**
 * Whether a key belongs to an input method. Safari ends the composition before
 * it sends the key that ended it, and marks that key with the code 229 only.
 */
export const isComposing = (e: KeyboardEvent): boolean => e.isComposing || e.keyCode === 229;
