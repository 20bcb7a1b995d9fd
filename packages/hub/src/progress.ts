/**
 * What happens during a download, in the shape of transformers.js: for each file `initiate`, then `download`, any number of
 * `progress`, and `done`; once everything is there, `ready`. A file that the cache has goes from `initiate` to `done`.
 */
export type HubProgress =
  | {
      readonly status: 'initiate' | 'done';
      readonly name: string;
      readonly file: string;
      readonly source: FileOrigin;
      /** Bytes of the whole file. */
      readonly total: number;
    }
  | { readonly status: 'download'; readonly name: string; readonly file: string; readonly resumedFrom: number }
  | {
      readonly status: 'progress';
      readonly name: string;
      readonly file: string;
      /** Percent, 0 to 100. */
      readonly progress: number;
      /** Bytes of the file that are on the disk, those of earlier calls included. */
      readonly loaded: number;
      /** Bytes of the whole file. */
      readonly total: number;
    }
  | { readonly status: 'ready'; readonly model: string };

/** Whether a file was there already, or came over the network now. */
export type FileOrigin = 'cache' | 'network';
