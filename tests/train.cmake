morex_add_test(NAME train_recipe_test LABEL unit TORCH
  SOURCES unit/train/recipe_test.cpp unit/train/schedule_test.cpp
  LINK morex_train)
