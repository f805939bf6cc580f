// A device that is not the CPU, for machines without one: LibTorch's place for devices of others, computed on the CPU.
// Its memory has addresses that host code cannot follow (a read through data_ptr() ends the program), and an operation
// that is given tensors of both devices throws, as on a GPU. Backward passes run on a thread of their own, as there.
#pragma once
#include <c10/core/Device.h>

namespace morex::test {

// The device. It is there where the program starts with MOREX_DEVICE=far.
at::Device far_device();

}  // namespace morex::test
