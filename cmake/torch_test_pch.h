// The precompiled header of every test that includes torch.
#pragma once
#include <gtest/gtest.h>

#include "torch_pch.h"
