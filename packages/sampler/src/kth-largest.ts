/**
 * The k-th largest number, equal ones counted each, by a heap of the k largest so far whose root is their smallest. Few
 * numbers ever enter the heap, so that for a small k this is one comparison per number.
 *
 * @param values - without NaN; at least `k` of them
 * @param k - at least 1
 * @param heap - working memory of `k` numbers or more
 */
export function kthLargest(values: Float32Array, k: number, heap: Float64Array): number {
  for (let i = 0; i < k; i++) heap[i] = values[i]!;
  for (let parent = (k >>> 1) - 1; parent >= 0; parent--) sink(heap, k, parent, heap[parent]!);
  let smallest = heap[0]!;
  for (let i = k; i < values.length; i++) {
    if (values[i]! > smallest) {
      sink(heap, k, 0, values[i]!);
      smallest = heap[0]!;
    }
  }
  return smallest;
}

/** Puts a value into the hole at a position of a heap: smaller children rise until it fits. */
function sink(heap: Float64Array, size: number, position: number, value: number): void {
  let hole = position;
  while (true) {
    let child = 2 * hole + 1;
    if (child >= size) break;
    if (child + 1 < size && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= value) break;
    heap[hole] = heap[child]!;
    hole = child;
  }
  heap[hole] = value;
}
