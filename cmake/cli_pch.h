// The precompiled header of the commands.
#pragma once
#include <CLI/CLI.hpp>

#include "torch_pch.h"
