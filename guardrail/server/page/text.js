"use strict";
// Offsets of the server count code points, and a string here counts UTF-16 units.

const pointsOf = (text) => Array.from(text);

/**
 * Cut [start, end) into pieces wherever a stretch begins or ends.
 *
 * Each piece knows the labels that cover it, the narrowest stretch first, and those whose stretch ends with it.
 */
function piecesOf(start, end, stretches) {
  const inside = stretches.map((s) => ({ ...s, start: Math.max(start, s.start), end: Math.min(end, s.end) }))
    .filter((s) => s.end > s.start)
    .sort((a, b) => a.end - a.start - (b.end - b.start) || b.score - a.score);
  const edges = [...new Set([start, end, ...inside.flatMap((s) => [s.start, s.end])])].sort((a, b) => a - b);
  return edges.slice(0, -1).map((from, i) => {
    const to = edges[i + 1];
    const over = inside.filter((s) => s.start <= from && s.end >= to);
    const names = (some) => [...new Set(some.map((s) => s.label))];
    return { from, to, labels: names(over), ends: names(over.filter((s) => s.end === to)) };
  });
}

// Each word with the white space behind it.
const wordsOf = (text) => text.match(/[\p{L}\p{N}\p{M}'’-]+\s*|[^\s\p{L}\p{N}]\s*|\s+/gu) ?? [];

/** Return the words of two texts as kept, removed and added runs, by their longest common subsequence. */
function diffOf(before, after) {
  const [a, b] = [wordsOf(before), wordsOf(after)];
  if (a.length * b.length > 1_000_000) return [["removed", before], ["added", after]];
  const same = (i, j) => a[i].trim() === b[j].trim();
  const width = b.length + 1;
  const length = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] = same(i, j)
        ? length[(i + 1) * width + j + 1] + 1
        : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
    }
  }
  const runs = [];
  const add = (kind, word) => {
    if (runs.length && runs.at(-1)[0] === kind) runs.at(-1)[1] += word;
    else runs.push([kind, word]);
  };
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && same(i, j)) { add("same", b[j]); i++; j++; }
    else if (j === b.length || (i < a.length && length[(i + 1) * width + j] >= length[i * width + j + 1])) {
      add("removed", a[i++]);
    } else add("added", b[j++]);
  }
  return runs;
}

/** Cut a text into chunks as a model writes them: half a word or so at a time. */
const chunksOf = (text) => text.match(/\s?\S{1,4}|\s/gu) ?? [];
