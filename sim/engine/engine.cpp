// Whole images through a Verilated engine: a line an image, with its counters and logits.
//
//   Vengine WEIGHTS IMAGES COUNT BEAT PIXELS INTERVAL STALLS SEED
//
// WEIGHTS holds the beats of an image's weights, IMAGES the bytes of COUNT images, in beats of PIXELS bytes.
// A beat of weights is BEAT bytes, and comes every INTERVAL cycles at most. With STALLS, so many of 100
// cycles each stream pauses, by chance from SEED. The engine starts once it takes neither weights nor images
// any more. A line is cycles, busy, stall, the cycle of its start, and the logits; or what went wrong, and
// then the program ends with 1.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "Vengine.h"

namespace {

std::vector<uint8_t> read(const char *path) {
  std::vector<uint8_t> bytes;
  if (FILE *file = std::fopen(path, "rb")) {
    std::fseek(file, 0, SEEK_END);
    bytes.resize(std::ftell(file));
    std::rewind(file);
    if (std::fread(bytes.data(), 1, bytes.size(), file) != bytes.size()) bytes.clear();
    std::fclose(file);
  }
  return bytes;
}

// A stream that the engine takes beats from.
struct Source {
  std::vector<uint8_t> bytes;
  size_t beat, beats_a_packet, interval;
  bool endless;
  size_t at = 0;
  uint64_t next = 0;

  bool has(uint64_t now) const { return now >= next && (endless || at * beat < bytes.size()); }
  const uint8_t *data() const { return bytes.data() + at * beat; }
  bool last() const { return (at + 1) % beats_a_packet == 0; }
  void taken(uint64_t now) {
    next = now + interval;
    at++;
    if (endless && at * beat == bytes.size()) at = 0;
  }
};

}  // namespace

int main(int argc, char **argv) {
  if (argc != 9) {
    std::fprintf(stderr, "usage: %s WEIGHTS IMAGES COUNT BEAT PIXELS INTERVAL STALLS SEED\n", argv[0]);
    return 2;
  }
  const size_t count = std::atoi(argv[3]), beat = std::atoi(argv[4]), pixels = std::atoi(argv[5]);
  const size_t interval = std::atoi(argv[6]), stalls = std::atoi(argv[7]);
  Source weights{read(argv[1]), beat, 0, interval, true};
  Source images{read(argv[2]), pixels, 0, 1, false};
  if (weights.bytes.empty() || images.bytes.empty()) {
    std::fprintf(stderr, "%s, %s: cannot be read, or empty\n", argv[1], argv[2]);
    return 2;
  }
  weights.beats_a_packet = weights.bytes.size() / beat;
  images.beats_a_packet = images.bytes.size() / pixels / count;
  std::mt19937 random(std::atoi(argv[8]));
  const auto flows = [&] { return stalls == 0 || random() % 100 >= stalls; };

  VerilatedContext context;
  Vengine engine{&context};
  engine.s_run = 0;
  engine.s_clear = 0;
  std::vector<int32_t> logits;
  bool was_idle = true, weights_held = false, images_held = false, weights_wait = false, images_wait = false;
  uint64_t started = 0, moved = 0;
  size_t done = 0;
  for (uint64_t now = 0; done < count; now++) {
    engine.aresetn = now >= 4;
    // A valid beat stays until it is taken.
    weights_held = now >= 4 && (weights_held || (weights.has(now) && flows()));
    images_held = now >= 4 && (images_held || (images.has(now) && flows()));
    engine.s_weights_tvalid = weights_held;
    engine.s_weights_tlast = weights.last();
    std::memcpy(&engine.s_weights_tdata, weights.data(), beat);
    engine.s_image_tvalid = images_held;
    engine.s_image_tlast = images.last();
    if (images_held) std::memcpy(&engine.s_image_tdata, images.data(), pixels);
    engine.m_logits_tready = flows();
    engine.eval();
    const bool weights_go = weights_held && engine.s_weights_tready;
    const bool images_go = images_held && engine.s_image_tready;
    const bool logits_go = engine.m_logits_tvalid && engine.m_logits_tready;
    // A stream that does not take a beat is full, but for the cycle behind reset, before it has taken any.
    weights_wait |= weights_held && !weights_go && weights.next > 0;
    images_wait |= images_held && !images_go && images.next > 0;
    images_wait |= images.at * pixels == images.bytes.size();
    engine.s_run = weights_wait && images_wait;
    if (was_idle && !engine.m_idle) started = now;
    was_idle = engine.m_idle;
    if (weights_go || images_go || logits_go) moved = now;
    if (logits_go) {
      logits.push_back(static_cast<int32_t>(engine.m_logits_tdata));
      if (engine.m_logits_tlast) {
        std::printf("%u %u %u %llu", engine.m_cycles, engine.m_busy, engine.m_stall,
                    static_cast<unsigned long long>(started));
        for (int32_t logit : logits) std::printf(" %d", logit);
        std::printf("\n");
        logits.clear();
        done++;
      }
    }
    if (engine.m_error) {
      std::printf("error word %u in cycle %llu\n", engine.m_error, static_cast<unsigned long long>(now));
      return 1;
    }
    if (now - moved > 10'000'000) {
      std::printf("no beat has moved since cycle %llu\n", static_cast<unsigned long long>(moved));
      return 1;
    }
    engine.aclk = 1;
    engine.eval();
    engine.aclk = 0;
    if (weights_go) weights.taken(now), weights_held = false;
    if (images_go) images.taken(now), images_held = false;
  }
  engine.final();
  return 0;
}
