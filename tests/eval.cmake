morex_add_test(NAME eval_test LABEL unit TORCH LINK morex_eval
  SOURCES unit/eval/fakes.cpp unit/eval/python_random_test.cpp unit/eval/python_text_test.cpp
          unit/eval/sampling_test.cpp unit/eval/text_stream_test.cpp unit/eval/choice_metrics_test.cpp
          unit/eval/choice_tasks_test.cpp unit/eval/requests_test.cpp unit/eval/scoring_test.cpp
          unit/eval/generate_test.cpp unit/eval/loss_test.cpp unit/eval/tasks_test.cpp
          unit/eval/exact_match_test.cpp unit/eval/clusters_test.cpp unit/eval/sentence_encoder_test.cpp
          unit/eval/vector_table_test.cpp unit/eval/sequence_reader_test.cpp unit/eval/cluster_picture_test.cpp)
morex_add_test(NAME eval_property_test LABEL property TORCH LINK morex_eval
  SOURCES unit/eval/fakes.cpp property/eval/eval_property_test.cpp)
morex_add_test(NAME eval_golden_test LABEL golden TORCH LINK morex_eval
  SOURCES golden/eval/golden_models.cpp golden/eval/lm_eval_golden_test.cpp golden/eval/train_golden_test.cpp
          golden/eval/metrics_golden_test.cpp golden/eval/sentence_encoder_golden_test.cpp
          golden/eval/cluster_scores_golden_test.cpp)
# The real base: up to a minute or two a case on two cores.
morex_add_test(NAME smollm2_eval_golden_test LABEL golden TORCH TIMEOUT 900 LINK morex_eval
  SOURCES golden/eval/golden_models.cpp golden/eval/smollm2_eval_golden_test.cpp)
