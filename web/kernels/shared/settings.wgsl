// One lane's sampling settings. Keep in step with pyapp/leadout/sampling.py.
struct Settings {
  temperature: f32,         // ≥ 0; 0 takes the largest logit
  top_k: u32,               // 0 = off
  top_p: f32,               // 1 = off
  min_p: f32,               // 0 = off
  repetition_penalty: f32,  // 1 = off
  seed: u32,
  penalties: u32,           // two i16 in 1/4096: presence in the low half, frequency in the high one
  flags: u32,               // 1: logits are moved, by these penalties or by biases; 2: the lane has masks; from 256 on: 1 + how many of the
                            // largest log-probabilities are wanted, or 0
}
