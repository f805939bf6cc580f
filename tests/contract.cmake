# Every structure × router × prior, one test each.
morex_add_test(NAME contract_test LABEL contract TORCH LINK morex_adapters morex_models
  SOURCES contract/combinations.cpp contract/contract_test.cpp golden/adapters/training_run.cpp golden/models/model_runs.cpp)
