/** Where a descending walk over keys stops. */
export interface Selection {
  /** The key at which the sum of weights reaches the target. */
  readonly threshold: number;
  /** Sum of the weights of the keys above the threshold. */
  readonly weightAbove: number;
}

/**
 * Walks keys from the largest down and finds the one at which the sum of their weights reaches a target, without sorting:
 * a weighted quickselect, linear on average. When the weights never reach the target it is the smallest key.
 *
 * Source: Hoare, Algorithm 65 (find), 1961; three-way partition after Dijkstra, so that many equal keys cost one round.
 *
 * @param keys - the first `count` elements are reordered
 * @param weights - reordered along with the keys; none negative
 */
export function selectByWeight(keys: Float64Array, weights: Float64Array, count: number, target: number): Selection {
  let low = 0;
  let high = count - 1;
  let weightAbove = 0;
  // Pivots come from a fixed sequence (Numerical Recipes' generator): repeatable, and no order of the keys that occurs in
  // practice, sorted ones included, makes it quadratic.
  let sequence = count >>> 0;
  while (true) {
    sequence = (Math.imul(sequence, 1664525) + 1013904223) >>> 0;
    const span = high - low + 1;
    const a = keys[low + ((sequence >>> 8) % span)]!;
    const b = keys[(low + high) >>> 1]!;
    const c = keys[high - ((sequence >>> 16) % span)]!;
    const pivot = Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));

    let endOfGreater = low;
    let next = low;
    let endOfEqual = high;
    let greaterWeight = 0;
    let equalWeight = 0;
    while (next <= endOfEqual) {
      const key = keys[next]!;
      const weight = weights[next]!;
      if (key > pivot) {
        keys[next] = keys[endOfGreater]!;
        weights[next] = weights[endOfGreater]!;
        keys[endOfGreater] = key;
        weights[endOfGreater] = weight;
        greaterWeight += weight;
        endOfGreater++;
        next++;
      } else if (key < pivot) {
        keys[next] = keys[endOfEqual]!;
        weights[next] = weights[endOfEqual]!;
        keys[endOfEqual] = key;
        weights[endOfEqual] = weight;
        endOfEqual--;
      } else {
        equalWeight += weight;
        next++;
      }
    }
    if (endOfGreater > low && weightAbove + greaterWeight >= target) {
      high = endOfGreater - 1;
    } else if (endOfEqual === high || weightAbove + greaterWeight + equalWeight >= target) {
      return { threshold: pivot, weightAbove: weightAbove + greaterWeight };
    } else {
      weightAbove += greaterWeight + equalWeight;
      low = endOfEqual + 1;
    }
  }
}
