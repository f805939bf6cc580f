morex_add_test(NAME train_test LABEL unit TORCH LINK morex_train
  SOURCES unit/train/recipe_test.cpp unit/train/schedule_test.cpp unit/train/checkpoint_folder_test.cpp
          unit/train/optimizer_test.cpp unit/train/tiny_run.cpp unit/train/trainer_test.cpp)
