/** Where a browser does not tell how much memory there is. */
const assumedGigabytes = 8;

/**
 * How large weights may be before a person has to insist: half of the memory that the browser tells of. A phone ends a page that
 * takes more, without a word. Browsers round the number, and some tell no more than 8 GB.
 */
export function memoryBudgetInBytes(): number {
  const told: unknown = Reflect.get(navigator, 'deviceMemory');
  return ((typeof told === 'number' && told > 0 ? told : assumedGigabytes) / 2) * 1e9;
}
