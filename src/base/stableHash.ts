/** Stable hashes for finding ids: FNV-1a over UTF-16 code units, printed in hexadecimal. Same text, same id, for ever. */

/** 32-bit FNV-1a of `text`, as 8 hexadecimal digits. */
export function stableHash(text: string): string {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x0100_0193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}
