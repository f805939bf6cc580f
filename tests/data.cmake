morex_add_test(NAME data_test LABEL unit LINK morex_data SOURCES
  unit/data/response_encoding_test.cpp unit/data/chat_encoding_test.cpp unit/data/prompt_format_test.cpp
  unit/data/dataset_test.cpp unit/data/row_facts_test.cpp unit/data/batch_test.cpp unit/data/packing_test.cpp)
morex_add_test(NAME data_golden_test LABEL golden LINK morex_data SOURCES
  golden/dataset/samples_golden_test.cpp golden/dataset/packing_golden_test.cpp golden/dataset/smollm2_chat_golden_test.cpp)
morex_add_test(NAME data_property_test LABEL property LINK morex_data SOURCES
  property/data/batch_plan_property.cpp property/data/packing_property.cpp property/data/encoding_property.cpp)
