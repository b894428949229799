"""
MiniStack with one difference: a function that API Gateway invokes by an alias gets the alias in its invoked function ARN, as
on AWS and in LocalStack. MiniStack 1.5.33 has it in direct invocations only. Without it, no call of the API would count as HTTP.
"""

import runpy

from ministack.services import lambda_svc

find = lambda_svc._get_func_record_for_ref_in_scope


def find_with_qualifier(function_ref, **scope):
    record, config, name = find(function_ref, **scope)
    if config is not None and lambda_svc._resolve_name_and_qualifier(function_ref)[1]:
        config = {**config, "FunctionArn": function_ref}
    return record, config, name


lambda_svc._get_func_record_for_ref_in_scope = find_with_qualifier
runpy.run_module("ministack", run_name="__main__")
