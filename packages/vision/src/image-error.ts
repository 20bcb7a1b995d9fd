import { Phi3Error } from '@phiblocks/tensor';

/** The codes of this package's own errors and what each means. They are never renamed. */
export const imageErrorCodes = {
  IM_SIZE: 'Width or height of an image is not a whole number from 1 up.',
  IM_TOO_LARGE: 'An image has more than 100 million pixels.',
  IM_DATA: 'The bytes of an image do not match its width and height, or are not bytes.',
  IM_ASPECT_RATIO: 'An image is so long and thin that its short side would be resized to less than one pixel.',
  IM_NUM_CROPS: 'The number of crops is not a whole number from 1 to 64.',
  IM_PIXELS: 'A tensor of pixel values has another shape than the encoder wants, or holds a value that is not finite.',
  IM_COUNT: 'A prompt has more or fewer images than were given.',
  IM_PLACEHOLDER: 'The numbers of the image placeholders have a gap, a repeat, or are not in ascending order from 1.',
  IM_TOKENS: 'The run of ids that stands for an image is broken, or is not as long as the image has tokens.',
} as const;

/** A code of {@link imageErrorCodes}. */
export type ImageErrorCode = keyof typeof imageErrorCodes;

/** An image, a tensor of pixels or a placeholder that cannot be used. Its codes are in {@link imageErrorCodes}. */
export class ImageError extends Phi3Error<ImageErrorCode> {
  override readonly name = 'ImageError';
}
