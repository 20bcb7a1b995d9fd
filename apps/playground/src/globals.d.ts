/** Where nano-mini is, seen from the page; false where it was not built in. */
declare const __NANO_MINI_URL__: string | false;
