/**
 * The codes of files of any kind, of safetensors files and of their index, and what they mean. Those of GGUF files and of
 * configurations are in `ggufErrorCodes` and `configErrorCodes`. Codes are never renamed.
 */
export const weightsErrorCodes = {
  // Files of any kind
  FILE_NOT_FOUND: 'There is no file of that name.',
  FILE_NOT_REGULAR: 'The path names a folder, a device or a pipe, not a file.',
  FILE_READ: 'The operating system could not read the file; the cause says why.',
  FILE_WRITE: 'The operating system could not write the file; the cause says why. The target is as it was.',
  FILE_RANGE: 'A range was asked for that leaves the file.',
  FILE_CHANGED: 'The file changed or was shortened after it was opened.',
  FILE_CLOSED: 'The file was read after it had been closed.',
  FILE_IS_LFS_POINTER: 'The file is a git-LFS pointer, a few lines of text that stand for the real file.',
  FILE_IS_HTML: 'The file is a web page, most likely an error page saved under the name of a checkpoint.',
  HTTP_FAILED: 'The server could not be reached, does not allow the page to read it, or the connection broke.',
  HTTP_NO_RANGES: 'The server sends only whole files, and this one is too large to be held whole.',
  HTTP_RANGE: 'The server answered with other bytes than those asked for.',
  HTTP_SIZE_UNKNOWN: 'The server does not say how large the file is, or hides it from the page.',
  HTTP_STATUS: 'The server refused to give the file.',
  DISK_FULL: 'The disk has no room for the file that was being written. The target is as it was.',
  OOM: 'The memory for one tensor could not be allocated.',
  TENSOR_NOT_FOUND: 'The checkpoint has no tensor of that name.',

  // safetensors
  ST_TRUNCATED: 'The file is shorter than the 8 bytes that every safetensors file begins with.',
  ST_HEADER_LENGTH: 'The declared length of the header is zero or reaches past the end of the file.',
  ST_HEADER_TOO_LARGE: 'The declared length of the header is above the limit.',
  ST_HEADER_UTF8: 'The header is not valid UTF-8.',
  ST_HEADER_JSON: 'The header is not JSON.',
  ST_HEADER_ROOT: 'The header is JSON but not an object.',
  ST_HEADER_DEPTH: 'The header nests deeper than a header ever needs.',
  ST_DUPLICATE_KEY: 'The header names a tensor, or a field of one, twice.',
  ST_TENSOR_ENTRY: 'The entry of a tensor is not an object of exactly dtype, shape and data_offsets.',
  ST_NAME: 'The name of a tensor is too long or holds control characters.',
  ST_DTYPE_UNKNOWN: 'The dtype of a tensor is not one of the format.',
  ST_DTYPE_UNSUPPORTED: 'The tensor was asked for as floats, and its dtype is none that this package converts.',
  ST_SHAPE: 'A dimension is not a whole number from 0 to 2^53 - 1.',
  ST_SHAPE_OVERFLOW: 'The product of the dimensions is too large to count.',
  ST_RANK: 'A tensor has more dimensions than any real one.',
  ST_SUB_BYTE: 'The elements of a tensor, each smaller than a byte, do not fill whole bytes.',
  ST_OFFSETS: 'data_offsets are not two whole numbers, the first not above the second.',
  ST_DATA_RANGE: 'A tensor reaches past the end of the data: a lying header or a file that is cut off.',
  ST_SIZE_MISMATCH: 'data_offsets span another number of bytes than shape and dtype need.',
  ST_OVERLAP: 'Two tensors share bytes.',
  ST_HOLE: 'There are bytes between two tensors that belong to neither.',
  ST_TRAILING_BYTES: 'There are bytes behind the last tensor.',
  ST_METADATA: '__metadata__ is not an object of strings, or is above the limit.',
  ST_LIMIT: 'The header lists more tensors, or holds more values, than the limit.',
  ST_NOT_FINITE: 'A tensor holds NaN or an infinity, and the caller asked for that check.',

  // model.safetensors.index.json
  IX_JSON: 'The index is not JSON in UTF-8, or nests deeper than an index ever needs.',
  IX_ROOT: 'The index is JSON but not an object.',
  IX_SIZE: 'The index is above the limit in bytes.',
  IX_LIMIT: 'The index lists more tensors or shards than the limit.',
  IX_WEIGHT_MAP: 'weight_map is missing, empty or not an object.',
  IX_DUPLICATE_KEY: 'The index lists a tensor, or another key, twice.',
  IX_SHARD_NAME: 'A shard is not named by a plain relative path that ends in .safetensors.',
  IX_PATH_TRAVERSAL: 'The path of a shard leads out of its folder.',
  IX_SYMLINK: 'A file of the checkpoint is a link that leads out of its folder, or in a circle.',
  IX_HARD_LINK: 'A file of the checkpoint has a second name elsewhere on the disk.',
  IX_SHARD_MISSING: 'Shards that the index names are missing; the error lists all of them.',
  IX_SHARD_SET: 'The shards are not one complete numbered set.',
  IX_TENSOR_MISSING: 'A tensor is not in the shard that the index names for it.',
  IX_DUPLICATE_TENSOR: 'Two shards hold a tensor of the same name.',
  IX_UNLISTED_TENSOR: 'A shard holds a tensor that the index does not list (an error in strict mode, else a warning).',
  IX_MIXED_REVISIONS: 'The index and its shards come from different revisions of the checkpoint.',
} as const;

/** A code of {@link weightsErrorCodes}. */
export type WeightsErrorCode = keyof typeof weightsErrorCodes;
