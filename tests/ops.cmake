morex_add_test(NAME ops_test LABEL unit TORCH FAR LINK morex_ops morex_base SOURCES
  unit/ops/autograd_node_test.cpp unit/ops/recompute_test.cpp unit/ops/compare.cpp unit/ops/linear_test.cpp unit/ops/block_test.cpp unit/ops/expert_swiglu_test.cpp
  unit/ops/expert_low_rank_test.cpp unit/ops/jittered_down_test.cpp
  unit/ops/attention_test.cpp unit/ops/loss_test.cpp unit/ops/flat_adamw_test.cpp unit/ops/row_kernels_test.cpp unit/ops/tree_level_test.cpp
  unit/ops/gate_ops_test.cpp unit/ops/time_recorder_test.cpp unit/ops/few_rows_test.cpp unit/ops/skinny_products_test.cpp unit/ops/blocked_product_test.cpp unit/ops/router_rows_test.cpp unit/ops/int8_test.cpp
  unit/ops/far_device_test.cpp)
morex_add_test(NAME ops_property_test LABEL property TORCH FAR LINK morex_ops morex_base SOURCES
  unit/ops/compare.cpp property/ops/ops_properties.cpp)
morex_add_test(NAME arena_allocator_test LABEL unit TORCH LINK morex_ops morex_base SOURCES
  unit/ops/arena_allocator_test.cpp)
