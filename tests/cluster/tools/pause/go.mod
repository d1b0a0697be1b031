module selection-operator/tests/cluster/tools/pause

go 1.24
