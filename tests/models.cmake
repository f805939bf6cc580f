set(model_runs golden/models/model_runs.cpp)
morex_add_test(NAME models_golden_test LABEL golden TORCH FAR LINK morex_models
  SOURCES ${model_runs} golden/models/model_variants_test.cpp golden/models/model_training_test.cpp
          golden/models/models_bad_test.cpp golden/models/gguf_model_test.cpp golden/models/tinystories_test.cpp)
morex_add_test(NAME smollm2_golden_test LABEL golden TORCH NOT_SANITIZED LINK morex_models
  SOURCES ${model_runs} golden/models/plain_llama.cpp golden/models/smollm2_test.cpp)
morex_add_test(NAME models_test LABEL unit TORCH LINK morex_models
  SOURCES ${model_runs} unit/models/model_config_test.cpp unit/models/rope_test.cpp unit/models/causal_lm_test.cpp
          unit/models/int8_model_test.cpp unit/models/weight_digest_test.cpp unit/models/bert_encoder_test.cpp)
