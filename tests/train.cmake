morex_add_test(NAME train_test LABEL unit TORCH LINK morex_train
  SOURCES unit/train/recipe_test.cpp unit/train/batch_source_test.cpp unit/train/schedule_test.cpp unit/train/checkpoint_folder_test.cpp
          unit/train/optimizer_test.cpp unit/train/tiny_run.cpp unit/train/trainer_test.cpp
          unit/train/clusters_run_test.cpp unit/train/tasks_run_test.cpp
          unit/train/routing_log_test.cpp unit/train/tax_test.cpp unit/train/memory_forecast_test.cpp
          unit/train/method_training_run_test.cpp unit/train/profile_test.cpp unit/train/step_allocation_test.cpp
          unit/train/int8_run_test.cpp)
morex_add_test(NAME train_golden_test LABEL golden TORCH TIMEOUT 900 LINK morex_train
  SOURCES golden/train/finetune_golden_test.cpp golden/train/accumulation_golden_test.cpp)
morex_add_test(NAME train_property_test LABEL property TORCH TIMEOUT 600 LINK morex_train
  SOURCES unit/train/tiny_run.cpp property/train/resume_property.cpp)
morex_add_test(NAME device_test LABEL unit TORCH FAR LINK morex_train
  SOURCES unit/train/device_test.cpp unit/train/runtime_test.cpp unit/train/tiny_run.cpp)
