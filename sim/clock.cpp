// A clock for a bench whose only port is aclk: until the bench ends itself by $finish.
// The model is built with `--prefix Vbench`.
#include "Vbench.h"

int main() {
  VerilatedContext context;
  Vbench bench{&context};
  while (!context.gotFinish()) {
    bench.aclk ^= 1;
    bench.eval();
  }
  bench.final();
  return 0;
}
