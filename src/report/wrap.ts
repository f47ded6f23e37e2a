/** Text in lines of limited width. */

/** Breaks a text at blanks; what follows the first line is indented. */
export function wrap(text: string, width: number): string[] {
  const indent = `${/^ */.exec(text)![0]}  `;
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/(?<=\S) /)) {
    if (line === '') line = word;
    else if (line.length + 1 + word.length <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = `${indent}${word}`;
    }
    for (; line.length > width; line = `${indent}${line.slice(width)}`) lines.push(line.slice(0, width));
  }
  return [...lines, line];
}
