set(model_runs golden/models/model_runs.cpp)
morex_add_test(NAME smollm2_golden_test LABEL golden TORCH LINK morex_models
  SOURCES ${model_runs} golden/models/smollm2_test.cpp)
