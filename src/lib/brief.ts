/** The first of a list, and how many more there are: what others can make long is not repeated in full. */
export function brief(texts: readonly string[], separator = ",", most = 8): string {
  const first = texts.slice(0, most).join(separator);
  return texts.length <= most ? first : `${first}${separator}... and ${texts.length - most} more`;
}
