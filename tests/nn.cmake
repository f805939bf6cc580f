morex_add_test(NAME nn_test LABEL unit TORCH LINK morex_nn morex_ops morex_io morex_base SOURCES
  unit/ops/compare.cpp unit/nn/parameter_store_test.cpp unit/nn/kv_cache_test.cpp unit/nn/tensor_file_test.cpp
  unit/nn/slots_test.cpp unit/nn/task_table_test.cpp unit/nn/routing_tally_test.cpp)
