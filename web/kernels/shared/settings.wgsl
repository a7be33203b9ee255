// One lane's sampling settings. Keep in step with pyapp/leadout/sampling.py.
struct Settings {
  temperature: f32,         // ≥ 0; 0 takes the largest logit
  top_k: u32,               // 0 = off
  top_p: f32,               // 1 = off
  min_p: f32,               // 0 = off
  repetition_penalty: f32,  // 1 = off
  seed: u32,
  reserved_0: u32,
  reserved_1: u32,
}
