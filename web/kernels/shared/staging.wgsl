{#- A load step's bytes, as the repacking kernels see them.

    Binding 0 is the staging buffer of pyapp/leadout/checkpoint/load_plan.py (keep in step): four
    words of parameters, then the bytes of a checkpoint. Addresses are bytes from the buffer's
    start. Checkpoints align their blocks to 2 bytes only, so all addresses are even. -#}
@group(0) @binding(0) var<storage, read> staging: array<u32>;

const PAYLOAD = 16u;  // the address of the first byte read from the checkpoint

fn staged_half(address: u32) -> u32 {
  return (staging[address >> 2u] >> ((address & 2u) << 3u)) & 0xffffu;
}

fn staged_word(address: u32) -> u32 {
  let low = staging[address >> 2u];
  // Only an unaligned word reaches into the next one, so that nothing behind the payload is read.
  if ((address & 2u) == 0u) {
    return low;
  }
  return (low >> 16u) | (staging[(address >> 2u) + 1u] << 16u);
}

fn staged_vec4(address: u32) -> vec4<u32> {
  return vec4<u32>(
    staged_word(address),
    staged_word(address + 4u),
    staged_word(address + 8u),
    staged_word(address + 12u),
  );
}
