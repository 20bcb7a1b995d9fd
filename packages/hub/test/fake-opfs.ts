/** An origin private file system in memory: what a browser shows, no more. Writes count when their stream is closed. */
export class FakeDirectory {
  readonly kind = 'directory';
  readonly entries = new Map<string, FakeDirectory | FakeFile>();
  /** Shared by a whole tree: bytes that may still be written. */
  readonly budget: { bytes: number };

  constructor(budget = { bytes: Number.POSITIVE_INFINITY }) {
    this.budget = budget;
  }

  async getDirectoryHandle(name: string, { create = false } = {}): Promise<FakeDirectory> {
    return this.get(name, FakeDirectory, create);
  }

  async getFileHandle(name: string, { create = false } = {}): Promise<FakeFile> {
    return this.get(name, FakeFile, create);
  }

  async removeEntry(name: string): Promise<void> {
    if (!this.entries.delete(name)) throw new DOMException('gone', 'NotFoundError');
  }

  async *keys(): AsyncGenerator<string> {
    yield* [...this.entries.keys()];
  }

  private get<T extends FakeDirectory | FakeFile>(
    name: string,
    kind: new (budget: { bytes: number }) => T,
    create: boolean,
  ): T {
    if (name === '' || name === '.' || name === '..' || name.includes('/')) throw new TypeError(`not a name: ${name}`);
    let entry = this.entries.get(name);
    if (entry === undefined) {
      if (!create) throw new DOMException('none', 'NotFoundError');
      entry = new kind(this.budget);
      this.entries.set(name, entry);
    }
    if (!(entry instanceof kind)) throw new DOMException('other kind', 'TypeMismatchError');
    return entry;
  }
}

class FakeFile {
  readonly kind = 'file';
  private blob = new Blob([]);
  private readonly budget: { bytes: number };

  constructor(budget: { bytes: number }) {
    this.budget = budget;
  }

  async getFile(): Promise<File> {
    return new File([this.blob], 'file');
  }

  async createWritable(): Promise<{ write(data: BlobPart): Promise<void>; close(): Promise<void> }> {
    const pieces: BlobPart[] = [];
    return {
      write: async (data) => void pieces.push(data),
      close: async () => {
        const next = new Blob(pieces);
        this.budget.bytes -= next.size;
        if (this.budget.bytes < 0) throw new DOMException('full', 'QuotaExceededError');
        this.blob = next;
      },
    };
  }
}

/** The handle under the type that browsers give it; the fake has what the store uses of it. */
export function asDirectoryHandle(fake: FakeDirectory): FileSystemDirectoryHandle {
  const handle: unknown = fake;
  return handle as FileSystemDirectoryHandle;
}
