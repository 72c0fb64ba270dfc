import type { Health } from '../topology.js';

/** A shape for each way to be: told apart without colour. */
const shapes: Readonly<Record<Health, string>> = {
  // A star, a disc, a ring of three quarters, a cross, and a dotted ring.
  leads: 'M8 .8l2.2 4.6 5 .7-3.6 3.5.9 5L8 12.2l-4.5 2.4.9-5L.8 6.1l5-.7z',
  good: 'M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11z',
  waits: 'M8 1.8a6.2 6.2 0 1 0 6.2 6.2h-2.4A3.8 3.8 0 1 1 8 4.2z',
  bad: 'M4 1.9L8 5.9l4-4 2.1 2.1-4 4 4 4-2.1 2.1-4-4-4 4-2.1-2.1 4-4-4-4z',
  unknown:
    'M6.9 1.2h2.2v2.2H6.9zM6.9 12.6h2.2v2.2H6.9zM1.2 6.9h2.2v2.2H1.2zM12.6 6.9h2.2v2.2h-2.2zM2.6 2.6h2.2v2.2H2.6zM11.2 2.6h2.2v2.2h-2.2zM2.6 11.2h2.2v2.2H2.6zM11.2 11.2h2.2v2.2h-2.2z',
};

/** Its meaning is in the text beside it. */
export function Glyph({ health }: { readonly health: Health }) {
  return (
    <svg class={`glyph ${health}`} viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      <path d={shapes[health]} />
    </svg>
  );
}

export function Planet() {
  return (
    <svg class="planet" viewBox="0 0 32 32" width="30" height="30" aria-hidden="true">
      <ellipse cx="16" cy="16" rx="15" ry="6" transform="rotate(-24 16 16)" class="orbit" />
      <circle cx="16" cy="16" r="8.5" class="disc" />
      <path d="M9 13.4q7 2.4 14 0M7.9 17q8 2.6 16.2 0M10 20.6q6 2 12 0" class="bands" />
      <circle cx="29" cy="9.6" r="2.2" class="moon" />
    </svg>
  );
}
