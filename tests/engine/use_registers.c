/* Uses hwnorm_engine.h as an application does, C and C++ alike, on an array in place of the registers. */
#include <stdio.h>
#include <string.h>

#include "hwnorm_engine.h"

int main(void) {
  static volatile uint32_t engine[HWNORM_ENGINE_SIZE / 4u];
  struct hwnorm_engine_counters counters;
  unsigned i;

  printf("absent %d\n", hwnorm_engine_is_there(engine));
  for (i = 0; i < HWNORM_ENGINE_SIZE / 4u; i++) engine[i] = 100u + i;
  engine[0] = 0x68776E65u;
  engine[1] = 0x00020000u;
  printf("other %d\n", hwnorm_engine_is_there(engine));
  engine[1] = 0x00010007u;
  printf("there %d\n", hwnorm_engine_is_there(engine));

  hwnorm_engine_start(engine);
  printf("start %u\n", (unsigned)engine[2]);
  hwnorm_engine_clear(engine);
  printf("clear %u\n", (unsigned)engine[2]);

  engine[3] = 1u;
  printf("idle %d\n", (int)hwnorm_engine_wait(engine, 10u));
  engine[3] = 3u;
  printf("done %d\n", (int)hwnorm_engine_wait(engine, 1u));
  printf("unasked %d\n", (int)hwnorm_engine_wait(engine, 0u));
  engine[3] = 7u;
  printf("error %d\n", (int)hwnorm_engine_wait(engine, 1u));

  memset(&counters, 0, sizeof counters);
  counters = hwnorm_engine_read_counters(engine);
  printf("counters %u %u %u %u\n", (unsigned)counters.cycles, (unsigned)counters.busy,
         (unsigned)counters.stall, (unsigned)counters.images);
  printf("error_word %u\n", (unsigned)hwnorm_engine_error(engine));
  printf("array %u %u %u\n", (unsigned)hwnorm_engine_tokens(engine), (unsigned)hwnorm_engine_columns(engine),
         (unsigned)hwnorm_engine_depth(engine));
  return 0;
}
