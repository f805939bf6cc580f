// main() of every test program. Torch-using tests run on two threads, so that results are the same everywhere.
#include <gtest/gtest.h>

#include <cstdlib>

int main(int argc, char** argv) {
  setenv("OMP_NUM_THREADS", "2", 0);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
