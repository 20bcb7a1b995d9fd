/** A shape of a picture: shape and colour are indexes; x, y (the centre) and radius are pixels. */
export interface Thing {
  readonly shape: number;
  readonly colour: number;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly rgb: readonly number[];
}
export type Kind = 'colour' | 'shape' | 'count';
export interface Question {
  readonly kind: Kind;
  readonly question: string;
  readonly answer: string;
}
export const side: number;
export const shapes: readonly string[];
export const colours: readonly string[];
export const kinds: readonly Kind[];
export function fnv1a(text: string): number;
export function sceneOf(seed: number, split: 'train' | 'held-out', index: number): Thing[];
export function isHeldOut(things: readonly Thing[]): boolean;
export function draw(things: readonly Thing[]): { width: number; height: number; data: Uint8Array };
export function questionsOf(things: readonly Thing[]): Question[];
export function exam(
  seed: number,
  split: 'train' | 'held-out',
  count: number,
): (Question & { readonly index: number; readonly things: Thing[] })[];
