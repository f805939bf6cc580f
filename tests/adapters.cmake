set(adapter_cases golden/adapters/one_site.cpp golden/adapters/recipe_of_case.cpp golden/adapters/flat_recipes.cpp golden/adapters/ffn_recipes.cpp)
morex_add_test(NAME adapters_golden_test LABEL golden TORCH FAR LINK morex_adapters
  SOURCES ${adapter_cases} golden/adapters/method_layer_test.cpp golden/adapters/pissa_layer_test.cpp golden/adapters/counts_test.cpp)
morex_add_test(NAME adapters_model_golden_test LABEL golden TORCH NOT_SANITIZED LINK morex_adapters morex_models
  SOURCES golden/adapters/recipe_of_case.cpp golden/adapters/flat_recipes.cpp golden/adapters/ffn_recipes.cpp golden/adapters/training_run.cpp golden/models/model_runs.cpp
          golden/adapters/model_case.cpp golden/adapters/method_model_test.cpp
          golden/adapters/official_folder_test.cpp golden/adapters/peft_adapter_test.cpp)
morex_add_test(NAME adapters_bad_test LABEL golden TORCH LINK morex_adapters morex_models
  SOURCES golden/adapters/adapter_bad_test.cpp)
morex_add_test(NAME adapters_property_test LABEL property TORCH LINK morex_adapters
  SOURCES golden/adapters/one_site.cpp property/adapters/tree_reference.cpp property/adapters/random_tree.cpp
          property/adapters/tree_property.cpp property/adapters/flat_identities_test.cpp
          property/adapters/tree_mixture_test.cpp property/adapters/gather_property.cpp
          property/adapters/low_rank_fit_property.cpp)
morex_add_test(NAME adapters_test LABEL unit TORCH LINK morex_adapters
  SOURCES golden/adapters/one_site.cpp unit/adapters/spec_vectors_test.cpp unit/adapters/method_config_test.cpp
          unit/adapters/targets_test.cpp unit/adapters/adapter_files_test.cpp unit/adapters/bank_adapter_test.cpp
          unit/adapters/gate_losses_test.cpp unit/adapters/flat_router_test.cpp unit/adapters/official_names_test.cpp unit/adapters/lora_variants_test.cpp
          unit/adapters/ffn_experts_test.cpp unit/adapters/allocation_test.cpp
          unit/adapters/trex_test.cpp unit/adapters/clusters_prior_test.cpp unit/adapters/routing_statistics_test.cpp
          unit/adapters/training_rules_test.cpp unit/adapters/router_softening_test.cpp unit/adapters/upcycling_test.cpp
          unit/adapters/presets_test.cpp
          unit/adapters/official_folders_test.cpp unit/adapters/low_rank_fit_test.cpp
          unit/adapters/lora_conversion_test.cpp unit/adapters/int8_base_test.cpp)
