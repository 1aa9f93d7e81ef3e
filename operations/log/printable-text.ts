/** Text of others for a terminal: control characters of what user code logs could do things there. */

const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Without control characters, and with further lines indented. */
export function printableText(text: string): string {
  return text.replace(controls, '�').replaceAll('\n', '\n  ');
}
