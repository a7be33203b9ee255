// What TypeScript's DOM library leaves out. It covers WebGPU but for the flag namespaces, and a
// file is checked either as a page or as a worker; ours are checked as pages, so the little that
// only workers have is declared here.

declare const GPUBufferUsage: {
  readonly MAP_READ: 0x0001;
  readonly MAP_WRITE: 0x0002;
  readonly COPY_SRC: 0x0004;
  readonly COPY_DST: 0x0008;
  readonly INDEX: 0x0010;
  readonly VERTEX: 0x0020;
  readonly UNIFORM: 0x0040;
  readonly STORAGE: 0x0080;
  readonly INDIRECT: 0x0100;
  readonly QUERY_RESOLVE: 0x0200;
};

declare const GPUMapMode: {
  readonly READ: 0x0001;
  readonly WRITE: 0x0002;
};

declare const GPUShaderStage: {
  readonly VERTEX: 0x1;
  readonly FRAGMENT: 0x2;
  readonly COMPUTE: 0x4;
};

interface DedicatedWorkerGlobalScope extends EventTarget {
  readonly name: string;
  readonly location: WorkerLocation;
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
  close(): void;
}

interface WorkerLocation {
  readonly href: string;
  readonly origin: string;
}

interface FileSystemSyncAccessHandle {
  read(target: Uint8Array, options?: { at?: number }): number;
  write(bytes: Uint8Array, options?: { at?: number }): number;
  getSize(): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

interface FileSystemFileHandle {
  createSyncAccessHandle(options?: {
    mode?: "read-only" | "readwrite" | "readwrite-unsafe";
  }): Promise<FileSystemSyncAccessHandle>;
}
